"""D-FINE, from KerasHub's parts."""
