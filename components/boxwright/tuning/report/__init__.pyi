from .page import REPORT_PAGE as REPORT_PAGE
from .page import write_report as write_report
