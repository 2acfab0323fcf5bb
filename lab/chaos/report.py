"""The report of a chaos run as tables: what happened, and whether the promises held."""

from rich.console import Console
from rich.table import Table

from lab.chaos.run import Report


def show(report: Report, console: Console) -> None:
    """Print both tables, and in one line how it went."""
    console.print(_events(report))
    console.print(_checks(report))
    rate = report.published / report.seconds if report.seconds else 0
    held = "every promise held" if report.good else "A PROMISE DID NOT HOLD"
    console.print(
        f"{held}: {report.published:,} readings at {rate:,.0f}/s, {report.bad:,} unreadable messages, "
        f"{report.restarts} restarts of services, settled {report.caught_up:.0f} s after the last; "
        f"{report.database}, seed {report.seed}",
        style="green" if report.good else "bold red",
    )


def _events(report: Report) -> Table:
    table = Table(title="What happened", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name, side in (("at s", "right"), ("event", "left"), ("who", "left"), ("on their way", "right"),
                       ("back after s", "right"), ("note", "left")):  # fmt: skip
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=name != "note")
    for one in report.events:
        back = "-" if one.back is None else f"{one.back:.1f}"
        waiting = "-" if one.waiting < 0 else f"{one.waiting:,}"
        table.add_row(f"{one.at:.0f}", str(one.event), one.who, waiting, back, one.note)
    return table


def _checks(report: Report) -> Table:
    table = Table(title="What was found", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("", "promise", "expected", "found"):
        table.add_column(name, justify="right" if name == "expected" else "left", overflow="fold")
    for check in report.checks:
        mark = "good" if check.good else "[bold red]LOST[/]"
        table.add_row(mark, check.promise, check.expected, check.found)
    return table
