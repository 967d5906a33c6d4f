"""`wecom-welcome completion`: what a shell reads to complete commands and options. The script is click's own."""

import click
from click.shell_completion import get_completion_class

from webhook.cli.terminal import say_document

PROGRAM, VARIABLE = "wecom-welcome", "_WECOM_WELCOME_COMPLETE"  # as click makes the one of the other
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", metavar="bash|zsh|fish", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that lets a shell complete commands and options. bash 4.4 or newer.

    \b
    bash   in ~/.bashrc:   eval "$(wecom-welcome completion bash)"
    zsh    in ~/.zshrc:    eval "$(wecom-welcome completion zsh)"
    fish   wecom-welcome completion fish > ~/.config/fish/completions/wecom-welcome.fish

    \b
    Example:  wecom-welcome completion fish
    """
    found = get_completion_class(shell)
    if found is None:  # click has all three
        raise click.UsageError(f"no completion for {shell}")
    say_document(found(ctx.find_root().command, {}, PROGRAM, VARIABLE).source())
