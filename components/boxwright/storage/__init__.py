"""One small API for `s3://` URIs, `file://` URIs and plain local paths alike.

A URI names a folder (a prefix) or a file (an object); keys are paths below a folder, with `/`. Credentials, region
and endpoint are boto3's standard ones (`AWS_*`, profiles, instance roles), or what `connected` sets. Failures come as
`UsageError` (the bucket, the credentials or the URI is wrong), `DataError` (the object is missing or too large) or
`StorageError` (the server did not answer as it should; the step may be repeated), and never hold a secret.
"""

import lazy_loader

# The names that other folders may take stand in `__init__.pyi`; a module is loaded when one of its names is.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
