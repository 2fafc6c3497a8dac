"""Annotations: from untrusted bytes to records, and from other formats to this one."""
