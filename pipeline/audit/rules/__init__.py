"""The words of the rules on labels, copies and classes, by code."""

from secondlook.pipeline.audit.rules import classes, copies, labels
from secondlook.pipeline.core.rules import Rule

RULES: dict[str, Rule] = {rule.code: rule for rule in (*labels.RULES, *copies.RULES, *classes.RULES)}
