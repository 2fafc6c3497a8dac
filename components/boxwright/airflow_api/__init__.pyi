from . import trigger as trigger
from .client import XCOM_EXIT_CODE as XCOM_EXIT_CODE
from .client import AirflowClient as AirflowClient
from .client import TaskState as TaskState
from .client import error_in_log as error_in_log
from .trigger import DAG_ID as DAG_ID
from .trigger import VARIABLES as VARIABLES
