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
    (LOOK, "groups", "looking:groups", "Group failures that look alike."),
    (LOOK, "checkpoints", "looking:checkpoints", "Show what one workflow can be restored to."),
    (LOOK, "preview", "previewing:preview", "Show what a restore or a recovery would do."),
    (LOOK, "recovery", "looking:recovery", "Show what came of one recovery."),
    (LOOK, "tail", "watching:tail", "Show events as they happen."),
    (ACT, "recover", "acting:recover", "Let a failed workflow go on from its newest intact checkpoint."),
    (ACT, "retry", "acting:retry", "Try the failed step again."),
    (ACT, "skip", "acting:skip", "Go on without the failed step, if it is optional."),
    (ACT, "pause", "acting:pause", "Hold a workflow before its next step."),
    (ACT, "resume", "acting:resume", "Let a paused workflow go on."),
    (ACT, "cancel", "acting:cancel", "End a workflow where it stands."),
    (ACT, "restore", "acting:restore", "Go back to a chosen checkpoint and on from there."),
    (ACT, "override", "acting:override", "Set a workflow's status by hand."),
    (OPERATE, "overview", "overseeing:overview", "Show how the platform stands."),
    (OPERATE, "doctor", "doctor.command:doctor", "Check the servers and services, and say what to do."),
    (OPERATE, "scan", "starting:scan", "Look for interrupted workflows now."),
    (OPERATE, "breaker", "overseeing:breaker", "Show whether the scan rescues, and what the last one did."),
    (OPERATE, "token", "making_tokens:token", "Make a token for development."),
)

_FAMILIES: tuple[tuple[Group, str, str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        ACT,
        "bulk",
        "Recover many failed workflows at once, canaries first.",
        (
            ("preview", "bulk_recovering:preview", "Show how many would be recovered, and by what they failed."),
            ("start", "bulk_recovering:start", "Recover every failed workflow that is meant."),
            ("watch", "bulk_recovering:watch", "Follow one until it ends; the exit code says how."),
            ("status", "bulk_recovering:status", "Show how far one has come, workflow by workflow."),
            ("list", "bulk_recovering:list_bulk", "List bulk recoveries, newest first."),
            ("cancel", "bulk_recovering:cancel", "Begin nothing more."),
        ),
    ),
    (
        OPERATE,
        "parked",
        "Messages that nobody could act on.",
        (
            ("list", "parking:list_parked", "List them, the longest parked first."),
            ("show", "parking:show", "Show one with its body."),
            ("replay", "parking:replay", "Send one again."),
            ("discard", "parking:discard", "Give one up."),
        ),
    ),
    (
        OPERATE,
        "audit",
        "The audit log.",
        (
            ("list", "auditing:list_audit", "List who did what, newest first."),
            ("verify", "auditing:verify", "Check that nobody tampered with it."),
        ),
    ),
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
    for group, name, help_line, verbs in _FAMILIES:
        family = App(name=name, group=group, help=help_line, result_action="return_value")
        for verb, place, verb_help in verbs:
            family.command(f"ratchet.cli.{place}", name=verb, help=verb_help)
        app.command(family)
    return app


def _version() -> str:
    from importlib.metadata import version  # only for --version: it would slow every other command down

    return version("ratchet")
