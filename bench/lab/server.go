package lab

import "context"

// Server is a PostgreSQL server for whoever needs databases and no laboratory.
type Server struct{ own *postgres }

// OpenServer takes the server of that URL or, without one, starts one that ends with Close.
func OpenServer(ctx context.Context, given string) (*Server, error) {
	own, err := openPostgres(ctx, given, nil)
	if err != nil {
		return nil, err
	}
	return &Server{own}, nil
}

// Database makes an empty database, which goes with the server, and returns its URL.
func (s *Server) Database(ctx context.Context) (url string, err error) { return s.own.database(ctx) }

// Close leaves nothing behind.
func (s *Server) Close() error { return s.own.close() }
