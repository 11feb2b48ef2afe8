package postgres

// The one good plan for a page of the log reads an index in its order. A
// month's partition is new every month, and until it is analyzed the planner
// takes it for empty and would keep a plan that reads all of it; nor does its
// estimate foresee that compiling a plan over many partitions takes longer than
// running it.
const planInOrder = `
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('enable_sort', 'off', true), set_config('jit', 'off', true), set_config('work_mem', '16MB', true)`

// inOrder sets the planner for the rest of the transaction, ahead of its next statement.
func (t events) inOrder() { t.ahead = append(t.ahead, planInOrder) }

const planAnyOrder = `
SELECT set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'on', true),
    set_config('enable_sort', 'on', true), set_config('jit', 'on', true), set_config('work_mem', '64MB', true)`

// inAnyOrder is for what reads the whole log.
func (t events) inAnyOrder() { t.ahead = append(t.ahead, planAnyOrder) }
