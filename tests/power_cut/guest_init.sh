#!/bin/busybox sh
# The first process of the virtual machine of power_cut.py: mounts the disk, runs power_cut_guest, turns the machine off.
# The kernel's command line sets LIVES, MARKS_AT, ACKNOWLEDGED, and for the control POWER_CUT_PRELOAD.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /run /tmp /disk
mount -t tmpfs run /run
while read -r module; do insmod "/modules/$module"; done < /modules/order
ip link set lo up
ip address add 127.0.0.1/8 dev lo 2> /dev/null
mount -t ext4 /dev/vda /disk
mkdir -p /disk/data /disk/export
sync
# shellcheck disable=SC2086
power_cut_guest /dev/vda "$MARKS_AT" "$ACKNOWLEDGED" $(echo "$LIVES" | tr , ' ')
echo "power_cut_guest: exit code $?"
umount /disk
poweroff -f
