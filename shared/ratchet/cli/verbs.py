"""Every command of `ratchet` with its one line of help; the code behind it is imported only when it is run."""

from cyclopts import App, Group

from ratchet.cli.exit_codes import EXIT_CODE_HELP

RUN = Group.create_ordered("Start")
LOOK = Group.create_ordered("Look")
ACT = Group.create_ordered("Act")
OPERATE = Group.create_ordered("Operate")

_VERBS: tuple[tuple[Group, str, str, str], ...] = (
    (RUN, "start", "starting:start", "Start a workflow."),
    (RUN, "execute", "starting:execute", "Drive a step that waits for a command."),
    (RUN, "watch", "watching:watch", "Follow one workflow until it ends; the exit code says how."),
    (LOOK, "status", "looking:status", "Show one workflow: where it stands and why it failed."),
    (LOOK, "history", "looking:history", "Show all that happened to one workflow."),
    (LOOK, "list", "looking:list_workflows", "List workflows, newest first."),
    (LOOK, "failed", "looking:failed", "List failed workflows, the oldest failure first."),
    (LOOK, "checkpoints", "looking:checkpoints", "Show what one workflow can be restored to."),
    (LOOK, "tail", "watching:tail", "Show events as they happen."),
    (ACT, "recover", "acting:recover", "Let a failed workflow go on from its newest intact checkpoint."),
    (ACT, "retry", "acting:retry", "Try the failed step again."),
    (ACT, "skip", "acting:skip", "Go on without the failed step, if it is optional."),
    (ACT, "pause", "acting:pause", "Hold a workflow before its next step."),
    (ACT, "resume", "acting:resume", "Let a paused workflow go on."),
    (ACT, "cancel", "acting:cancel", "End a workflow where it stands."),
    (ACT, "restore", "acting:restore", "Go back to a chosen checkpoint and on from there."),
    (ACT, "override", "acting:override", "Set a workflow's status by hand."),
    (OPERATE, "doctor", "doctor.command:doctor", "Check the servers and services, and say what to do."),
    (OPERATE, "scan", "starting:scan", "Look for interrupted workflows now."),
    (OPERATE, "token", "making_tokens:token", "Make a token for development."),
)

HELP = f"""Workflows that recover by themselves, from the command line.

Addresses and secrets come from the environment (RATCHET_API_URL, RATCHET_NOTIFIER_URL, RATCHET_AMQP_URL, RATCHET_TOKEN
or RATCHET_JWT_SECRET …), completed by `.ratchet/env`, which `make up` writes.
{EXIT_CODE_HELP}"""


def build_app() -> App:
    """The command line's grammar."""
    app = App(
        name="ratchet",
        help=HELP,
        version=_version,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for group, name, place, help_line in _VERBS:
        app.command(f"ratchet.cli.{place}", name=name, group=group, help=help_line)
    audit = App(name="audit", group=OPERATE, help="The audit log.", result_action="return_value")
    audit.command("ratchet.cli.auditing:verify", name="verify", help="Check that nobody tampered with it.")
    app.command(audit)
    return app


def _version() -> str:
    from importlib.metadata import version  # only for --version: it would slow every other command down

    return version("ratchet")
