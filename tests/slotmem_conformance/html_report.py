"""One self-contained page: clauses by implementations, each cell opening its evidence.

Interface: `page(reports)` gives the HTML. Nothing is loaded from anywhere, and it works without scripts.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from slotmem_conformance.reports import MARKS, command, summary, title
from slotmem_conformance.verdicts import Outcome, Report, Verdict, by_clause, by_profile
from slotmem_model.clauses import CLAUSES, PROFILES

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 1.5rem auto; max-width: 90rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid #8886; padding: .3rem .5rem; text-align: left; vertical-align: top; }
thead th { position: sticky; top: 0; background: Canvas; }
tr.profile th { background: #8882; }
summary { cursor: pointer; white-space: nowrap; }
pre { max-width: 60rem; overflow-x: auto; background: #8881; padding: .5rem; white-space: pre-wrap; word-break: break-all; }
.pass { color: #2e8540; } .fail, .adapter-error { color: #d62d20; font-weight: 600; } .non-strict { color: #b58900; }
.skip, .info { color: #888; } small { color: #888; }
"""


def page(reports: Sequence[Report]) -> str:
    """Give the page of one report or several."""
    head = "".join(f"<th>{escape(title(each))}<br><small>{escape(summary(each))}</small></th>" for each in reports)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>slotmem conformance</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>\n'
        "<h1>slotmem conformance</h1>\n"
        "<p>What each clause asks, and whether the implementations do it. A cell opens its evidence: the requests, as they can "
        "be pasted into a driver, and what came back.</p>\n"
        f"<table><thead><tr><th>clause</th><th>asks</th>{head}</tr></thead><tbody>\n{_rows(reports)}</tbody></table>\n"
        "</body></html>\n"
    )


def _rows(reports: Sequence[Report]) -> str:
    verdicts = [by_clause(each.outcomes) for each in reports]
    totals = [by_profile(each.outcomes) for each in reports]
    rows = []
    for profile, meaning in PROFILES.items():
        cells = "".join(f"<th>{escape(str(total[profile]))}</th>" for total in totals)
        rows.append(f'<tr class="profile"><th>{profile}</th><th>{escape(meaning)}</th>{cells}</tr>\n')
        for clause in CLAUSES.values():
            if clause.profile == profile and any(clause.id in found for found in verdicts):
                cells = "".join(
                    _cell(report, clause.id, found.get(clause.id))
                    for report, found in zip(reports, verdicts, strict=True)
                )
                rows.append(
                    f'<tr id="{clause.id}"><td><b>{clause.id}</b><br><small>{clause.level}, {clause.source}</small></td>'
                    f"<td>{escape(clause.sentence)}</td>{cells}</tr>\n"
                )
    return "".join(rows)


def _cell(report: Report, clause: str, verdict: Verdict | None) -> str:
    if verdict is None:
        return "<td></td>"
    cases = [each for each in report.outcomes if each.clause == clause]
    worst = "".join(_case(report, each) for each in cases if each.verdict is verdict)
    others = "".join(_case(report, each) for each in cases if each.verdict is not verdict)
    return f"<td><details><summary>{_verdict(verdict)}</summary>{worst}{others}</details></td>"


def _case(report: Report, outcome: Outcome) -> str:
    parts = [f"<p>{_verdict(outcome.verdict)} <code>{escape(outcome.case)}</code> {escape(outcome.reason)}</p>"]
    if outcome.evidence:
        parts.append(f"<pre>{escape(outcome.evidence)}</pre><p><code>{escape(command(report, outcome))}</code></p>")
    return "".join(parts)


def _verdict(verdict: Verdict) -> str:
    return f'<span class="{verdict.value.replace(" ", "-")}">{MARKS[verdict]} {verdict.value}</span>'
