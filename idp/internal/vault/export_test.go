package vault

import "time"

// SetCallTimeout bounds a call otherwise; 0 as in service.
func (o *Options) SetCallTimeout(limit time.Duration) { o.callTimeout = limit }
