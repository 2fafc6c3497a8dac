"""Image files, untrusted: decoded, turned, drawn on."""
