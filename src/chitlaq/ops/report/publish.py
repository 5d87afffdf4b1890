"""Make the daily report: run the evening routine, write the page, and send it."""

from __future__ import annotations

from pathlib import Path

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.visible import visible
from chitlaq.ops import routines
from chitlaq.ops.checks.runner import Run
from chitlaq.ops.database.database import OpsDatabase, OpsDatabaseUnavailableError
from chitlaq.ops.history import run_history
from chitlaq.ops.report import delivery, page


async def publish(
    home: Home, settings: Settings, operator: str, folder: Path | None, *, is_to_send: bool
) -> tuple[Run, list[str]]:
    """Run the routine, write its report in HTML and Markdown, and send it if asked to.

    Args:
        folder: where the files go; by default ops/reports in the home.

    Returns:
        The run, and one line for each thing that was done or could not be done.
    """
    with OpsDatabase(home) as database:
        earlier = await _previous(database)
        run, trouble = await routines.run_and_store(
            home, settings, page.ROUTINE, routines.checks_of(page.ROUTINE), operator
        )
        report = page.build(run, earlier, settings)
        # Evidence quotes what strangers sent.
        texts = {"html": visible(page.html(report)), "md": visible(page.markdown(report))}
        lines = _write(folder or home.ops / "reports", run, texts)
        if is_to_send:
            subject = f"{report.title}: {run.verdict}"
            queries = postgres.load_queries("chitlaq.core.data", "chitlaq")
            mails = Database(postgres.dsn(settings, home, "chitlaq_ops"), "chitlaq-ops", queries)
            try:
                lines += await delivery.deliver(
                    database, mails, settings, subject, texts["md"], texts["html"]
                )
            finally:
                mails.terminate()
    return run, [*lines, *([trouble] if trouble else [])]


async def _previous(database: OpsDatabase) -> Run | None:
    try:
        found = await run_history.newest(database, page.ROUTINE)
    except OpsDatabaseUnavailableError:
        return None
    return found[0] if found else None


def _write(folder: Path, run: Run, texts: dict[str, str]) -> list[str]:
    lines = []
    for ending, text in texts.items():
        path = folder / f"{run.started_at.astimezone():%Y-%m-%d}.{ending}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # It quotes logs.
            files.write(path, text, mode=0o640)
            lines.append(f"wrote {path}")
        except OSError as error:
            lines.append(f"could not write {path}: {error.strerror}")
    return lines
