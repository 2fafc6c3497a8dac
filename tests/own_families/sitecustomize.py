"""Read by every Python process that starts with this folder on its path."""

import family_hook  # noqa: F401
