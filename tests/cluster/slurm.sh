#!/usr/bin/env bash
# A SLURM of one node on this machine, for tests: slurm.sh start | stop
# As root on Debian or Ubuntu. Installs slurm-wlm and munge where they are missing. The node has one GPU by name, a null
# device. Leaves a SLURM alone that it has not set up itself.
set -euo pipefail

run=/run/voxplain-slurm
conf=/etc/slurm/slurm.conf
mark="# Written by voxplain's tests/cluster/slurm.sh."
host=$(hostname -s)
cpus=$(nproc)

refuse() {
    echo "slurm.sh: $*" >&2
    exit 3
}

alive() { # the process of a pid file
    [ -s "$1" ] && kill -0 "$(cat "$1" 2>/dev/null)" 2>/dev/null
}

install_packages() {
    command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v munged >/dev/null && return
    command -v apt-get >/dev/null || refuse "no SLURM here, and no apt-get to install it"
    export DEBIAN_FRONTEND=noninteractive
    { timeout 60 apt-get update -q && timeout 180 apt-get install -q -y --no-install-recommends slurm-wlm munge; } >&2 ||
        refuse "slurm-wlm and munge could not be installed"
}

write_conf() {
    mkdir -p /etc/slurm "$run"/state "$run"/spool
    # Memory and cores are what tests need, whatever the machine has: jobs of the workflow ask for 8 GB and take far less.
    cat >$conf <<END
$mark
ClusterName=voxplain
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=batch_sched_delay=1,sched_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
DefMemPerCPU=100
GresTypes=gpu
ReturnToService=2
MinJobAge=3600
MailProg=/bin/true
StateSaveLocation=$run/state
SlurmdSpoolDir=$run/spool
SlurmctldPidFile=$run/slurmctld.pid
SlurmdPidFile=$run/slurmd.pid
SlurmctldLogFile=$run/slurmctld.log
SlurmdLogFile=$run/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=65536 Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes=$host Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=$host MaxTime=INFINITE State=UP
END
    printf '%s\nAutoDetect=off\nName=gpu File=/dev/null\n' "$mark" >/etc/slurm/gres.conf
}

start() {
    [ "$(id -u)" = 0 ] || refuse "only root can start the daemons"
    if [ -e $conf ] && ! grep -qF "$mark" $conf; then refuse "$conf is not ours: a SLURM is set up here already"; fi
    install_packages
    stop
    rm -rf "$run"
    write_conf
    if ! pgrep -x munged >/dev/null; then
        [ -s /etc/munge/munge.key ] || { dd if=/dev/urandom of=/etc/munge/munge.key bs=128 count=8 status=none; }
        chown munge: /etc/munge /etc/munge/munge.key /var/lib/munge /var/log/munge
        chmod 400 /etc/munge/munge.key
        install -d -o munge -g munge -m 755 /run/munge
        runuser -u munge -- /usr/sbin/munged
        cp /run/munge/munged.pid "$run"/munged.pid # only the one that was started here is stopped
    fi
    slurmctld
    slurmd
    for _ in $(seq 60); do
        [ "$(sinfo --noheader --partition=cpu --format=%T 2>/dev/null)" = idle ] && return
        sleep 0.5
    done
    sinfo >&2 || true
    tail -n 20 "$run"/*.log >&2
    stop
    refuse "the node did not become idle"
}

stop() {
    if alive "$run/slurmctld.pid"; then # jobs outlive the daemons
        scancel --user=root --quiet || true
        for _ in $(seq 40); do
            [ -n "$(squeue --noheader)" ] || break
            sleep 0.5
        done
    fi
    for name in slurmd slurmctld munged; do
        file=$run/$name.pid
        if alive "$file"; then
            kill "$(cat "$file")"
            for _ in $(seq 60); do
                alive "$file" || break
                sleep 0.25
            done
            if alive "$file"; then kill -9 "$(cat "$file")"; fi
        fi
        rm -f "$file"
    done
    if [ -e $conf ] && grep -qF "$mark" $conf; then rm -f $conf /etc/slurm/gres.conf; fi
}

case ${1:-} in
    start) start ;;
    stop) stop ;;
    *) refuse "start or stop?" ;;
esac
