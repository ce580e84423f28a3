#!/bin/sh
# What became of a job: prints running, success or failed. Which system it asks, its commands on the PATH tell.
#   status.sh JOB
job=$1

# The answer of a command, asked for again for a minute while there is none: accounting comes late, servers restart.
ask() {
    for pause in 1 2 5 10 20 20; do
        answer=$("$@" 2>/dev/null) && [ -n "$answer" ] && return 0
        sleep "$pause"
    done
    return 1
}

value() { # of the line `name value` or `name = value`, the last one
    printf '%s\n' "$answer" | sed -n "s/^ *$1  *=* *\([^ ]*\).*/\1/p" | tail -n 1
}

if command -v bjobs >/dev/null 2>&1; then # LSF
    ask bjobs -noheader -o stat "$job"
    case $answer in
        DONE) echo success ;;
        EXIT | '') echo failed ;;
        *) echo running ;;
    esac
elif command -v qacct >/dev/null 2>&1; then # SGE: qstat knows jobs until they end, qacct afterwards
    if answer=$(qstat -j "$job" 2>/dev/null); then
        # A job in the error state would wait for ever.
        if printf '%s\n' "$answer" | grep -q '^error reason'; then echo failed; else echo running; fi
    elif ask qacct -j "$job" && [ "$(value failed)" = 0 ] && [ "$(value exit_status)" = 0 ]; then
        echo success
    else
        echo failed
    fi
else # PBS: OpenPBS knows finished jobs with -x, Torque without
    answer=$(qstat -f "$job" 2>/dev/null) || ask qstat -x -f "$job"
    case $(value job_state) in
        F | C) if [ "$(value '[Ee]xit_status')" = 0 ]; then echo success; else echo failed; fi ;;
        '') echo failed ;;
        *) echo running ;;
    esac
fi
