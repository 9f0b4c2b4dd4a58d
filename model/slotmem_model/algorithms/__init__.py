"""Algorithms over an image, each a plain class: httpd's, locking designs, and broken ones.

An image is what an algorithm sees of shared memory, simulated or real:

- `geometry`                  item_size, item_num, pregrab, stripes, first_stripe, inuse_start, ...
- `inuse[i]`, `num_free[0]`   in-use bytes and the free counter
- `memory[a:b]`, `memory.find(byte, a, b)`   all bytes; slot i begins at 32 + i * item_size
- `redo[a:b]`, `words[i]`, `redo_start`      redo records
- `mutexes`, `trylock`, `lock`, `unlock`, `consistent`, `nobody`   robust mutexes
- `cell(words, i)`, `compare_and_swap(cell, old, new)`, `fetch_add(cell, delta)`, `fence()`
                              atomic operations
- `retry()`                   starts the operation again, having forgotten what it read
- `wait_for(cell, value, ...)`   waits until a word holds one of these values; the operation keeps
                              what it already knows, such as a ticket
- `extra[name][0]`            further words; `extra_words = (ExtraWord("sequence", values=4),)` of
                              `slotmem_model.automata.shared_words`: in the model it is 0 to 3

A class that says `robust = False` gets plain mutexes: one whose owner died stays locked, and nobody
is told.

A class says what it is made for with `survives_deaths`, `made_for` and `lowest_first`: see
`slotmem_model.checker.standard`.

An operation's errors are exceptions with `.status.name`, APR's name for the status.
"""
