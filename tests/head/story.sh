# What happens on the head of real_head.sh; every line that starts with "==" begins a chapter.
exec >/told/log 2>&1
hwctl=/opt/hwctl/bin/hwctl
state() { systemctl show hwctl -p "$1" --value; }

echo "== install"
$hwctl install --yes --config /opt/hwctl/source/wiring/football.hwctl.toml | grep -v '^    '
id hwctl
stat -c '%n %U %a' /var/lib/hwctl /etc/hwctl /etc/hwctl/ssh
echo "== again"
$hwctl install --yes
echo "== start"
mkdir -p /etc/systemd/system/hwctl.service.d
printf '[Service]\nWatchdogSec=3\nStandardOutput=append:/told/said\nStandardError=append:/told/said\nReadWritePaths=-/sys/devices/system\n' \
    >/etc/systemd/system/hwctl.service.d/quick.conf
systemctl daemon-reload
systemctl start hwctl && echo started
pid=$(state MainPID)
if [ "$pid" = 0 ]; then
    systemctl status hwctl --no-pager
    systemctl show hwctl -p ExecMainStatus
    echo "== end"
    systemctl exit 1
    exit
fi
grep -E '^(Uid|NoNewPrivs|CapBnd|Seccomp):' "/proc/$pid/status" | tr -s '\t' ' '
awk '$5 ~ "^/sys(/devices/system)?$" { print $5, substr($6, 1, 2) }' "/proc/$pid/mountinfo"
su -s /bin/sh hwctl -c "$hwctl status" | head -n 1
grep -E 'Traceback|Operation not permitted|Bad system call' /told/said || echo quiet
echo "== fed"
sleep 5
echo "restarts $(state NRestarts)"
echo "== stuck"
kill -STOP "$pid"
for _ in $(seq 100); do
    if [ "$(state NRestarts)" != 0 ] && [ "$(state SubState)" = running ]; then break; fi
    sleep 0.1
done
echo "restarts $(state NRestarts), $(state SubState)"
echo "last words $(cat /var/lib/hwctl/last-words)"
echo "== doctor"
$hwctl doctor | grep -E '(user|udev rules|unit):'
echo "== stop"
systemctl stop hwctl
echo "$(state SubState), $(state Result)"
echo "== uninstall"
rm -r /etc/systemd/system/hwctl.service.d
$hwctl uninstall --yes
id hwctl
ls /etc/hwctl /etc/systemd/system/hwctl.service /etc/udev/rules.d/70-hwctl.rules
echo "== end"
systemctl exit 0
