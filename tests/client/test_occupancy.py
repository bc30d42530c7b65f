from __future__ import annotations

from client.occupancy import file_user, mount_point_of

MOUNTINFO = """\
22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
31 28 7:3 / /mnt/with\\040space rw,relatime shared:12 - ext4 /dev/loop3 rw
"""


def test_a_mount_is_found_by_its_number_and_unescaped() -> None:
    assert mount_point_of(MOUNTINFO, "7:3") == "/mnt/with space"
    assert mount_point_of(MOUNTINFO, "7:30") is None
    assert mount_point_of("", "7:3") is None
    assert mount_point_of("rubbish\n\n", "7:3") is None


def test_a_plain_file_nobody_uses_is_free(tmp_path: object) -> None:
    assert file_user(f"{tmp_path}/file") is None
