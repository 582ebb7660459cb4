"""Finds the occurrences of iCalendar documents with `icalendar` and `dateutil`, which share no code with ours.

Reads JSON lines {"ics": ..., "from_ms": ..., "to_ms": ...} and prints for each a line of starts in milliseconds.
"""

import json
import sys
from datetime import date, datetime, time, timezone

from dateutil.rrule import rrulestr
from icalendar import Calendar


def civil(value):
    """A date or a time without its zone, and the zone."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None), value.tzinfo or timezone.utc
    return datetime.combine(value, time()), timezone.utc


def moment(value, zone):
    return round(value.replace(tzinfo=zone).timestamp() * 1000)


def moments(prop):
    """Those of EXDATE or RDATE, which may be there several times."""
    props = prop if isinstance(prop, list) else [prop] if prop else []
    return [moment(*civil(each.dt)) for one in props for each in one.dts]


def rule_of(event, start, zone):
    parts = []
    for part in event["RRULE"].to_ical().decode().split(";"):
        name, value = part.split("=")
        if name == "UNTIL" and value.endswith("Z"):
            until = datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
            value = until.astimezone(zone).strftime("%Y%m%dT%H%M%S")
        elif name == "UNTIL" and len(value) == 8:
            value += "T235959"
        parts.append(f"{name}={value}")
    return rrulestr(";".join(parts), dtstart=start)


def starts(text, from_ms, to_ms):
    events = Calendar.from_ical(text).walk("VEVENT")
    replaced = {}
    for event in events:
        if "RECURRENCE-ID" in event:
            replaced.setdefault(str(event["UID"]), set()).add(moment(*civil(event["RECURRENCE-ID"].dt)))
    found = []
    for event in events:
        if str(event.get("STATUS", "")).upper() == "CANCELLED":
            continue
        start, zone = civil(event["DTSTART"].dt)
        own = [start]
        if "RRULE" in event:
            end = datetime.fromtimestamp(to_ms / 1000, timezone.utc).astimezone(zone).replace(tzinfo=None)
            own = []
            for each in rule_of(event, start, zone):
                if each > end:
                    break
                own.append(each)
        all_starts = {moment(each, zone) for each in own} | set(moments(event.get("RDATE")))
        all_starts -= set(moments(event.get("EXDATE")))
        if "RECURRENCE-ID" not in event:
            all_starts -= replaced.get(str(event["UID"]), set())
        found += all_starts
    return sorted(each for each in found if from_ms <= each < to_ms)


for line in sys.stdin:
    case = json.loads(line)
    print(json.dumps(starts(case["ics"], case["from_ms"], case["to_ms"])), flush=True)
