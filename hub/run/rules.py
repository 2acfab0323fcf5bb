"""
The judge that the settings describe, of rules, calendar and zone; it is refused before anything starts.

`hub.run.embedded` and `hub.run.distributed` give it to the pipeline and to the roll-up.
"""

from contextlib import closing

from aggregates.store.store import Store
from hub.servers.process import CannotStart
from hub.settings.settings import Settings
from streams.alerts.calendar import BadCalendar, load_days
from streams.alerts.judge import Judge
from streams.alerts.rulebook import BadRule, load_rules
from streams.alerts.store import mirror_rules


def judge_of(settings: Settings, database: str | None = None) -> Judge:
    """
    Load rules and calendar, and name the rules in the database where one is given.

    Raises CannotStart for a rule or a calendar that cannot work.
    """
    try:
        judge = Judge(load_rules(settings.rules), load_days(settings.timezone, settings.calendars, settings.country))
    except (BadRule, BadCalendar) as error:
        raise CannotStart(str(error)) from error
    if database is not None:
        with closing(Store(database, application="stadspuls rules")) as store:
            mirror_rules(store, judge.rules)
    return judge
