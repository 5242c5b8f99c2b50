"""Sending of DICOM files to a destination, by whichever service it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cxreport.arrivals.destination import ApplicationEntity, Destination
from cxreport.arrivals.sent import Sent


def send(paths: Sequence[Path], destination: Destination, title: str) -> Iterator[Sent]:
    """Send DICOM files, one after the other.

    Args:
        paths: of files with meta information (PS3.10 7.1).
        destination: of the instances.
        title: own AE title.

    Yields:
        Each file with the answer that it got, in any order. Close the iterator to end the connection early.

    Raises:
        DeliveryError: the destination cannot be reached, or not used.
        MissingExtraError: a package of the extra is not installed.
    """
    if isinstance(destination, ApplicationEntity):
        from cxreport.arrivals.store_scu import send_by_c_store

        return send_by_c_store(paths, destination, title)
    from cxreport.arrivals.stow import send_by_stow

    return send_by_stow(paths, destination)
