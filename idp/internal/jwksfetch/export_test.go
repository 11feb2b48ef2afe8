package jwksfetch

import "time"

// SetTimes bounds a fetch and the line before it otherwise; 0, 0 as in service.
func (o *Options) SetTimes(timeout, patience time.Duration) {
	o.timeout, o.patience = timeout, patience
}
