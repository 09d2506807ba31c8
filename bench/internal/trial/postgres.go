package trial

import (
	"context"
	"errors"
	"net/url"

	"countersign.dev/internal/storage/postgres/pgtest"
)

// Postgres is a PostgreSQL of the benchmark's own, as durable as it comes, with one
// empty database.
type Postgres struct {
	Cluster *pgtest.Cluster
	// URL is for the server, AdminURL for the superuser in the same database.
	URL, AdminURL string
}

// StartPostgres starts one with more settings than its defaults. The caller closes
// the cluster.
//
//	pgtest.ErrNotInstalled: there is no PostgreSQL here
func StartPostgres(ctx context.Context, settings map[string]string) (*Postgres, error) {
	cluster, err := pgtest.Start(ctx, pgtest.Options{Durable: true, Settings: settings})
	if err != nil {
		return nil, err
	}
	p := &Postgres{Cluster: cluster}
	if p.URL, err = cluster.NewDatabase(ctx); err != nil {
		return nil, errors.Join(err, cluster.Close())
	}
	ours, err := url.Parse(p.URL)
	if err != nil {
		return nil, errors.Join(err, cluster.Close())
	}
	admin, err := url.Parse(cluster.AdminURL())
	if err != nil {
		return nil, errors.Join(err, cluster.Close())
	}
	admin.Path = ours.Path
	p.AdminURL = admin.String()
	return p, nil
}
