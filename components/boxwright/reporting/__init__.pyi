from .charts import Chart as Chart
from .charts import Theme as Theme
from .charts import make_chart as make_chart
from .charts import new_axes as new_axes
from .charts import new_figure as new_figure
from .charts import short_name as short_name
from .rendering import render as render
