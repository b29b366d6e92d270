"""The whole mission in one story: the demo itself, on both databases."""

from house import Service
from rich.console import Console

from service.cli import story


def test_the_mission_holds_from_the_tablet_to_the_proof(service: Service) -> None:
    console = Console(record=True, quiet=True)
    story.play(console, service.people, service.ehr, service.settings)
