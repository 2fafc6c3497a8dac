from . import architecture as architecture
