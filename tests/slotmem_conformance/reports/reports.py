"""A run's reports: Markdown, JUnit, a badge. (JSON: `SuiteReport.to_json`; HTML: `html_report`.)

Interface: each function takes a `SuiteReport` and gives text.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import product
from xml.sax.saxutils import escape, quoteattr

from slotmem_conformance.reports.verdicts import (
    CaseResult,
    ClauseVerdict,
    SuiteReport,
    by_cause,
    by_clause,
    by_profile,
    by_reason,
)
from slotmem_model.clauses import CLAUSES, PROFILES

MARKS = {
    ClauseVerdict.PASS: "✅",
    ClauseVerdict.FAIL: "❌",
    ClauseVerdict.ADAPTER_ERROR: "💥",
    ClauseVerdict.NON_STRICT: "🟡",
    ClauseVerdict.INFO: "i",
    ClauseVerdict.SKIP: "-",
}


_TOLD = (ClauseVerdict.FAIL, ClauseVerdict.ADAPTER_ERROR, ClauseVerdict.NON_STRICT)
_REASONS = 5


def title(report: SuiteReport) -> str:
    """Name the implementation as it names itself."""
    said = report.hello
    what = " ".join(str(said[name]) for name in ("implementation", "version", "language") if said.get(name))
    return f"{report.provider}: {what}" if what else report.provider


def summary(report: SuiteReport, profiles: Iterable[str] = tuple(PROFILES)) -> str:
    """Return the profiles in a line: `core yes, httpd yes, safe 3 of 9, ...`."""
    return ", ".join(f"{name} {total}" for name, total in by_profile(report.outcomes).items() if name in profiles)


def markdown(report: SuiteReport) -> str:
    """Return a page for the summary of a CI run."""
    lines = [f"# {cell(title(report))}", "", f"**{summary(report)}**", ""]
    if report.unfinished:
        lines += [f"Unfinished: {report.unfinished}", ""]
    lines += ["| profile | asks | verdict |", "|---|---|---|"]
    for name, total in by_profile(report.outcomes).items():
        lines.append(f"| {name} | {PROFILES[name]} | {total} |")
    lines += ["", "| clause | verdict | what it asks |", "|---|---|---|"]
    for id, verdict in by_clause(report.outcomes).items():
        lines.append(f"| {id} | {MARKS[verdict]} {verdict.value} | {cell(CLAUSES[id].sentence)} |")
    lines += ["", *skips(report)]
    for cause in by_cause(each for each in report.outcomes if each.verdict in _TOLD):
        each = cause.shown
        evidence = each.evidence.replace("```", "'''")
        lines += ["", f"## {cause.title}: {each.verdict.value}", "", f"> {CLAUSES[each.clause].sentence}", ""]
        lines += [cell(each.reason), "", "```", evidence, "```", "", f"`{command(report, each)}`"]
        lines += ["", f"Likewise: {', '.join(cause.others)}"] if cause.others else []
    return "\n".join(lines) + "\n"


def skips(report: SuiteReport) -> list[str]:
    """Return a line that says how many cases were skipped, and why; none if none were."""
    reasons = by_reason(report.outcomes)
    if not reasons:
        return []
    said = [f"{count} because {cell(reason)}" for reason, count in reasons[:_REASONS]]
    if others := sum(count for _, count in reasons[_REASONS:]):
        said.append(f"{others} for other reasons")
    return [f"{sum(count for _, count in reasons)} cases skipped: {'; '.join(said)}"]


def ranges(clauses: Iterable[str]) -> str:
    """Return the ids of clauses in short: `GRAB-1 to GRAB-3, GET-1`."""
    runs: list[list[str]] = []
    for id in clauses:
        stem, _, number = id.rpartition("-")
        if runs and runs[-1][-1] == f"{stem}-{int(number) - 1}":
            runs[-1].append(id)
        else:
            runs.append([id])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


def command(report: SuiteReport, outcome: CaseResult) -> str:
    """Return the command that does this case again."""
    quick = " --quick" if report.quick else ""
    return f"slotmem conform '{report.provider}' --reproduce {outcome.case} --seed {report.seed}{quick}"


def junit(*found: SuiteReport) -> str:
    """Return JUnit's XML: a test suite for each profile (of each provider), a test case for each
    case.
    """
    suites = []
    for report, profile in product(found, PROFILES):
        named = profile if len(found) == 1 else f"{profile} of {report.provider}"
        of_it = [each for each in report.outcomes if CLAUSES[each.clause].profile == profile]
        if of_it:
            counts = Counter(each.verdict for each in of_it)
            errors, failed, skipped = (
                counts[each] for each in (ClauseVerdict.ADAPTER_ERROR, ClauseVerdict.FAIL, ClauseVerdict.SKIP)
            )
            totals = f'tests="{len(of_it)}" failures="{failed}" errors="{errors}" skipped="{skipped}"'
            time = f'time="{sum(each.seconds for each in of_it):.3f}"'
            first = {other: cause.shown.case for cause in by_cause(of_it) for other in cause.others}
            cases = "".join(_test_case(profile, each, first.get(each.case, "")) for each in of_it)
            suites.append(f"  <testsuite name={quoteattr(named)} {totals} {time}>\n{cases}  </testsuite>\n")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + f"<testsuites>\n{''.join(suites)}</testsuites>\n"


def badge_json(report: SuiteReport) -> str:
    """Return what shields.io asks an endpoint for."""
    return (
        json.dumps({"schemaVersion": 1, "label": "slotmem", "message": _held(report), "color": _colour(report)}) + "\n"
    )


def badge_svg(report: SuiteReport) -> str:
    """Return a badge as a picture."""
    label, message = "slotmem", _held(report)
    left, right = 7 * len(label) + 12, 7 * len(message) + 12
    colour = {"brightgreen": "#4c1", "yellow": "#b58900", "red": "#c0392b", "lightgrey": "#777"}[_colour(report)]
    text = escape(message)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" aria-label="{label}: {text}">'
        f'<rect width="{left}" height="20" fill="#555"/><rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{left / 2}" y="14">{label}</text><text x="{left + right / 2}" y="14">{text}</text></g></svg>\n'
    )


def _held(report: SuiteReport) -> str:
    held = [name for name, total in by_profile(report.outcomes).items() if total.judged and not total.broken]
    return ", ".join(held) or "none"


def _colour(report: SuiteReport) -> str:
    tried = [total for total in by_profile(report.outcomes).values() if total.judged]
    if not tried:
        return "lightgrey"
    broken = sum(total.broken for total in tried)
    return "brightgreen" if not broken else "red" if broken == len(tried) else "yellow"


def _test_case(profile: str, outcome: CaseResult, first: str) -> str:
    about = quoteattr(_legible(outcome.reason))
    shown = f"The cause is that of {first}." if first else outcome.evidence
    inside = escape(_legible(f"{CLAUSES[outcome.clause].sentence}\n\n{shown}"))
    body = {
        ClauseVerdict.FAIL: f"<failure message={about}>{inside}</failure>",
        ClauseVerdict.ADAPTER_ERROR: f"<error message={about}>{inside}</error>",
        ClauseVerdict.SKIP: f"<skipped message={about}/>",
    }.get(outcome.verdict, f"<system-out>{escape(outcome.verdict.value)}</system-out>")
    name = quoteattr(outcome.case)
    return f'    <testcase classname="slotmem.{profile}" name={name} time="{outcome.seconds:.3f}">{body}</testcase>\n'


def _legible(text: str) -> str:
    """Replace what XML 1.0 cannot hold."""
    return "".join(letter if letter in "\n\t" or letter >= " " else "?" for letter in text)


def cell(text: str) -> str:
    """Return a text as a cell of a table in Markdown."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
