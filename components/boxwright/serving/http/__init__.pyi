from .bodies import read_body as read_body
from .private_server import LIMITS as LIMITS
from .private_server import TOKEN_VARIABLE as TOKEN_VARIABLE
from .problems import ProblemError as ProblemError
from .server import serve as serve
