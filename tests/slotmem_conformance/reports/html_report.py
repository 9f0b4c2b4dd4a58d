"""One self-contained page: clauses by implementations, each cell opening its evidence.

Interface: `page(reports)` gives the HTML. Nothing is loaded from anywhere, and it works without
scripts: a cell is a link to its evidence, which shows while it is the page's address.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from slotmem_conformance.reports.reports import command, title
from slotmem_conformance.reports.verdicts import Cause, ClauseVerdict, SuiteReport, by_cause, by_clause, by_profile
from slotmem_model.clauses import CLAUSES, PROFILES

_STYLE = Path(__file__).with_name("html_report.css")


def page(reports: Sequence[SuiteReport]) -> str:
    """Return the page of one report or several."""
    head = "".join(f'<th scope="col">{_name(each)}</th>' for each in reports)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>slotmem conformance</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE.read_text(encoding="utf-8")}</style></head><body>\n'
        "<h1>slotmem conformance</h1>\n"
        '<p class="hint">What each clause asks, and whether the implementations do it. A cell opens its evidence: the requests, as '
        "they can be pasted into a driver, and what came back.</p>\n"
        f'<table><thead><tr><th scope="col">clause</th><th scope="col">asks</th>{head}</tr></thead>'
        f"<tbody>\n{_rows(reports)}</tbody></table>\n{_evidence(reports)}</body></html>\n"
    )


def _name(report: SuiteReport) -> str:
    unfinished = f"<small>unfinished: {escape(report.unfinished)}</small>" if report.unfinished else ""
    said = title(report).removeprefix(f"{report.provider}: ")
    return f"{escape(report.provider)}<small>{escape(said)}</small>{unfinished}"


def _rows(reports: Sequence[SuiteReport]) -> str:
    verdicts = [by_clause(each.outcomes) for each in reports]
    totals = [by_profile(each.outcomes) for each in reports]
    rows = []
    for profile, meaning in PROFILES.items():
        cells = "".join(f"<th>{escape(str(total[profile]))}</th>" for total in totals)
        rows.append(f'<tr class="profile"><th>{profile}</th><th>{escape(meaning)}</th>{cells}</tr>\n')
        for clause in CLAUSES.values():
            if clause.profile == profile and any(clause.id in found for found in verdicts):
                cells = "".join(_cell(number, clause.id, found.get(clause.id)) for number, found in enumerate(verdicts))
                rows.append(
                    f'<tr id="{clause.id}"><th scope="row">{clause.id}</th>'
                    f"<td>{escape(clause.sentence)} <small>{clause.level}, {clause.source}</small></td>{cells}</tr>\n"
                )
    return "".join(rows)


def _cell(number: int, clause: str, verdict: ClauseVerdict | None) -> str:
    if verdict is None:
        return "<td></td>"
    return f'<td class="{_kind(verdict)}"><a href="#{_anchor(number, clause)}">{verdict.value}</a></td>'


def _evidence(reports: Sequence[SuiteReport]) -> str:
    """Return what the cells open: for each clause of each report its cases, the worst first."""
    sections = []
    for number, report in enumerate(reports):
        for clause, worst in by_clause(report.outcomes).items():
            cases = sorted(
                (each for each in report.outcomes if each.clause == clause), key=lambda each: each.verdict is not worst
            )
            sections.append(
                f'<section id="{_anchor(number, clause)}" class="evidence"><a class="close" href="#{clause}">close</a>'
                f"<h2>{clause} <small>{escape(report.provider)}</small></h2><p>{escape(CLAUSES[clause].sentence)}</p>"
                f"{''.join(_cause(report, each) for each in by_cause(cases))}</section>\n"
            )
    return "".join(sections)


def _cause(report: SuiteReport, cause: Cause) -> str:
    outcome = cause.shown
    verdict = f'<b class="{_kind(outcome.verdict)}">{outcome.verdict.value}</b>'
    names = " ".join(f"<code>{escape(name)}</code>" for name in (outcome.case, *cause.others))
    parts = [f"<p>{verdict} {names} {escape(outcome.reason)}</p>"]
    if outcome.evidence:
        parts.append(f"<pre>{escape(outcome.evidence)}</pre><p><code>{escape(command(report, outcome))}</code></p>")
    return "".join(parts)


def _kind(verdict: ClauseVerdict) -> str:
    return verdict.value.replace(" ", "-")


def _anchor(number: int, clause: str) -> str:
    return f"{clause}.{number + 1}"
