"""The way of a table: plan, limits, transfer, journal, commit.

pipeline       one upload from its source to its report
plan           how a table is named and cut
transfer       phase one: a partition's parts are stored; limits says how much at once
commit         phase two: the table becomes visible; replace takes the old one away, with deletions
changing       where a table is changed: by one at a time, on the package's own loop; burst says for how long
journal        what an upload has noted: records, lines, states
journal_head   whether two uploads are the same
locked_file    files that one process has locked
journal_files  journals on disk
journaling     the journal of a running upload
recovery       what is done about uploads whose process died; rolling finishes or rolls back their commits
"""
