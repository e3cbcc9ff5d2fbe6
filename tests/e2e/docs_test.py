"""The commands that the documents show are run as they stand there."""

import re
import shutil

import e2e


def shown_commands(text):
    """Lines of fenced blocks marked `console` that begin with `$ gnnflow`."""
    for block in re.findall(r"```console\n(.*?)```", text, re.S):
        for line in block.splitlines():
            if line.startswith("$ gnnflow "):
                yield line[len("$ gnnflow "):].split("#")[0].split()


def test_the_commands_of_the_documents_run(place):
    shutil.copytree(e2e.SOURCE / "workflows", place.folder / "workflows")
    count = 0
    for document in [e2e.SOURCE / "README.md", *sorted((e2e.SOURCE / "docs").glob("*.md"))]:
        for command in shown_commands(document.read_text()):
            place.run(*command, timeout=280)
            count += 1
    assert count >= 5, f"only {count} commands found in the documents"
    place.check_nothing_left()


def test_the_operations_page_names_every_command(place):
    listed = place.run("--help").stdout.split("Subcommands:\n")[1].split("\n\n")[0].splitlines()
    commands = [line.split()[0] for line in listed if line.startswith("  ") and not line.startswith("   ")]
    assert len(commands) >= 8, listed
    page = (e2e.SOURCE / "docs/operations.md").read_text()
    for command in commands:
        assert f"`gnnflow {command}" in page, f"docs/operations.md says nothing about {command}"


def test_every_relative_link_in_the_documents_leads_somewhere(place):
    for document in [*e2e.SOURCE.glob("*.md"), *(e2e.SOURCE / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}, which is not there"


if __name__ == "__main__":
    e2e.main(globals())
