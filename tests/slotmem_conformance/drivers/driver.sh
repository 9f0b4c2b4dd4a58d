#!/bin/sh
# A driver in POSIX shell, without any other program. It is a small real implementation: slots in the variables of this one
# process, as hexadecimal digits; nothing is shared or stored. It has no batch, for a shell has no clock that is good enough.
# Run: slotmem conform exec:"sh driver.sh"
identity='"protocol":1,"implementation":"slots of a shell","version":"1","language":"POSIX shell"'
capabilities='"capabilities":["restart","dptr","doall"]'
tab='	' segments=0 ended=0 open= generation=0 # the segments before number $ended have ended

# The response to a request. What went wrong fails, so that one can write: CONDITION || refuse EINVAL || return
succeed() { response="{\"status\":\"APR_SUCCESS\"${1:+,$1}}"; }
refuse() { response="{\"status\":\"APR_$1\"}" && return 1; }
error() { response="{\"error\":\"$1\"}" && return 1; }

# find KEY: let $rest be the request from the key's value on, or fail. This is no JSON parser, for the suite checks what it
# sends: what stands in quotes and has a colon behind it is a key, since a quote inside of a string has a backslash.
find() {
    rest=$line
    while case $rest in *\"$1\"*) ;; *) return 1 ;; esac; do
        rest=${rest#*\"$1\"}
        rest=${rest#"${rest%%[! $tab]*}"} # without the blanks before
        case $rest in :*) rest=${rest#:} && rest=${rest#"${rest%%[! $tab]*}"} && return ;; esac
    done
}

# integer KEY: let $integer be its value, or fail.
integer() {
    find "$1" || return
    integer=${rest%%[!-0-9]*}
    case $integer in '' | - | ?*-*) return 1 ;; esac
}

# text KEY: let $text be its value as JSON spells it, nothing for null, or fail.
text() {
    text=
    find "$1" || return
    case $rest in null*) return ;; \"*) rest=${rest#?} ;; *) return 1 ;; esac
    while part=${rest%%[\"\\]*} && text=$text$part && case $rest in "$part"\\*) ;; *) false ;; esac; do
        rest=${rest#"$part"} part=${rest#??}
        text=$text${rest%"$part"} rest=$part # the backslash, and what it stands before
    done
}

# Segment $n is the variables size_$n, num_$n, free_$n, pregrab_$n and name_$n; its slot $id is slot_${n}_$id and used_${n}_$id.
recall() { eval "size=\$size_$n num=\$num_$n free=\$free_$n pregrab=\$pregrab_$n"; }
recall_slot() {
    eval "slot=\${slot_${n}_$id-00} used=\${used_${n}_$id-}" # into most, nothing was ever put
    while [ ${#slot} -lt $((2 * size)) ]; do slot=$slot$slot; done
    slot=$(first $((2 * size)) "$slot")
}
first() { printf "%.$1s" "$2"; } # the first so many characters
mark() { eval "used_${n}_$id=$1 free_$n=$((free + ${#used} - ${#1}))"; } # 1: slot $id is in use; nothing: it is free

# locate NAME: let $n be the segment of that name, or the next number if there is none, or refuse the name.
locate() {
    [ "$open" ] || refuse ENOSHMAVAIL || return
    case /$1/ in */../* | *\\u0000*) refuse EINVAL || return ;; esac
    n=$ended
    while [ "$n" -lt "$segments" ] && eval "[ -z \"\$1\" ] || [ \"\$name_$n\" != \"\$1\" ]"; do n=$((n + 1)); done
}
create() {
    text name && integer item_size && size=$integer && integer item_num && num=$integer && find type ||
        error 'a field is missing' || return
    case $text in [Nn][Oo][Nn][Ee]) text= ;; esac
    locate "$text" || return
    if [ "$n" -eq "$segments" ]; then # 32: what httpd has before the slots
        [ "$num" -eq 0 ] || [ "$size" -le $(((9223372036854775807 - 32 - num) / num)) ] || refuse EINVAL || return
        [ $((size * num + num)) -le 1073741824 ] || refuse ENOSPC || return # more than a shell should have
        case $rest in *\"PREGRAB\"*) pregrab=1 ;; *) pregrab= ;; esac
        eval "size_$n=$size num_$n=$num free_$n=$num pregrab_$n=$pregrab name_$n=\$text"
        segments=$((segments + 1))
    fi
    succeed "\"segment\":$n"
}
attach() {
    text name || error 'no name' || return
    case $text in '' | [Nn][Oo][Nn][Ee]) refuse ENOSHMAVAIL || return ;; esac
    locate "$text" || return
    [ "$n" -lt "$segments" ] || refuse ENOENT || return
    recall
    succeed "\"segment\":$n,\"item_size\":$size,\"item_num\":$num"
}

grab() {
    id=0
    [ "$free" -gt 0 ] || refuse EINVAL || return
    while recall_slot && [ "$used" ]; do id=$((id + 1)); done
    mark 1
    succeed "\"id\":$id"
}
doall() {
    slots='' status=APR_SUCCESS id=0 answers=
    find answers && answers=${rest%%]*}
    while [ "$id" -lt "$num" ] && [ $status = APR_SUCCESS ]; do
        recall_slot
        if [ "$used" ] || [ -z "$pregrab" ]; then
            slots=$slots,\"$slot\"
            case $answers in *\"*) answers=${answers#*\"} status=${answers%%\"*} answers=${answers#*\"} ;; esac
        fi
        id=$((id + 1))
    done
    response="{\"status\":\"$status\",\"slots\":[${slots#,}]}"
}
one_slot() { # the operations that have an id
    integer id || error 'no id' || return
    id=$integer length=$size text=
    if find len; then integer len && length=$integer || error 'no len' || return; fi
    text data || [ "$op" != put ] || error 'no data' || return
    [ "$op" != dptr ] || [ ${#text} -le $((2 * size)) ] || error 'more data than the slot has' || return
    [ "$id" -ge 0 ] && [ "$id" -lt "$num" ] && [ ${#text} -le $((2 * size)) ] || refuse EINVAL || return
    [ "$length" -ge 0 ] && [ "$length" -le "$size" ] || refuse EINVAL || return
    recall_slot
    case $op$pregrab in
    release* | get1 | put1) [ "$used" ] || refuse NOTFOUND || return ;;
    esac
    case $op in put | dptr)
        [ ${#text} -eq ${#slot} ] || text=$text${slot#"$(first ${#text} "$slot")"} # the rest stays
        slot=$text
        eval "slot_${n}_$id=\$slot"
        ;;
    esac
    case $op in fgrab | get | put) mark 1 ;; release) mark '' ;; esac
    case $op in
    get | dptr) succeed "\"data\":\"$(first $((2 * length)) "$slot")\"" ;;
    *) succeed ;;
    esac
}
on_segment() { # the operations that have a segment
    integer segment && n=$integer && [ "$n" -ge 0 ] && [ "$n" -lt "$segments" ] || error 'no such segment' || return
    [ "$n" -ge "$ended" ] || refuse ENOSHMAVAIL || return
    recall
    case $op in
    num_slots) succeed "\"value\":$num" ;;
    num_free_slots) succeed "\"value\":$free" ;;
    slot_size) succeed "\"value\":$size" ;;
    grab | doall) "$op" ;;
    fgrab | release | get | put | dptr) one_slot ;;
    *) error 'no such operation' ;;
    esac
}
end_all() {
    [ "$open" ] || refuse ENOSHMAVAIL || return
    ended=$segments generation=$((generation + 1))
    [ "$op" = restart ] || open=
    succeed "${open:+\"generation\":$generation}"
}

while IFS= read -r line; do
    text op && op=$text || op='no operation'
    case $line in {*}) ;; *) op='no operation' ;; esac
    case $op in
    quit) exit ;;
    hello) integer generation && generation=$integer open=1 && succeed "$identity,$capabilities" || error 'no generation' ;;
    create | attach) "$op" ;;
    restart | close) end_all ;;
    *) on_segment ;;
    esac
    printf '%s\n' "$response"
done
