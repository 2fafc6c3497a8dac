"""A dataset on this machine: downloaded, checked, with a manifest and a fingerprint."""
