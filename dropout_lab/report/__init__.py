"""A study told: findings in sentences, one table in every form, a page that stands alone."""

from dropout_lab.report.columns import CellTable, cell_table
from dropout_lab.report.page import UNSEEN
from dropout_lab.report.report import Report, compose

__all__ = ["UNSEEN", "CellTable", "Report", "cell_table", "compose"]
