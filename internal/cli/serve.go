package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/config"
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/server"
	"countersign.dev/internal/storage/sqlite"
)

func newServeCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:         "serve",
		Annotations: map[string]string{endsInOrder: "yes"},
		Short:       "Run the authorization server",
		Long: `Run the authorization server. Without any setting it listens on
localhost:8628, which is 127.0.0.1 and [::1], keeps its data in the platform's
data directory, and admits clients that nobody registered. Several servers may
share a PostgreSQL database; each of them needs the same secret.`,
		Example: `  countersign serve
  countersign serve --issuer https://id.example.org --data /var/lib/countersign
  countersign serve --issuer https://id.example.org --secret-file secret \
    --database postgres://countersign@db/countersign`,
		Args: cobra.NoArgs,
	}
	config.Bind(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		settings, err := config.Load(cmd.Flags(), env.Getenv, checkClient)
		if err != nil {
			return settingsFailure(err)
		}
		if err := checkSecrets(env, settings, newLogger(env, settings)); err != nil {
			return err
		}
		return serve(cmd.Context(), env, settings)
	}
	return cmd
}

func settingsFailure(err error) error {
	return &Failure{Code: ExitUsage, What: "the server was not started", Err: err}
}

// collectAt is how much garbage there may be beside what is in use, in per cent,
// unless GOGC says otherwise. What a server keeps for each waiting device is small
// and lives for minutes: half the usual costs it two per cent of its time.
const collectAt = 50

// serve runs the server until a signal stops it.
func serve(ctx context.Context, env *Env, settings *config.Settings) error {
	if env.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	run, err := startServer(ctx, env, settings)
	if err != nil {
		return err
	}
	run.announce(env)
	run.warn()
	ended, err := run.awaitEnd(ctx, hangups, env.StderrTerminal)
	if err != nil {
		return errors.Join(fail(ExitFailed, "serving", err, ""), run.stop(ctx))
	}
	var interrupt <-chan struct{} // of a server that its terminal's end stops
	if _, interrupted := interruption(ctx); !interrupted {
		interrupt = ctx.Done()
	}
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	run.log.Info("stopping", "signal", signalName(ended))
	go func() {
		var second os.Signal
		select {
		case second = <-env.Signals:
		case second = <-hangups:
		case <-interrupt:
			i, _ := interruption(ctx)
			second = i.signal
		case <-draining.Done():
			return
		}
		run.log.Info("stopping at once", "signal", signalName(second))
		cancel()
	}()
	err = run.stop(draining)
	if err == nil {
		run.log.Info("stopped")
	}
	return err
}

// awaitEnd waits for a signal that ends the server, or for it to fail. SIGHUP ends
// it only where it means that its terminal was closed: elsewhere it asks servers to
// read their settings again, which this one cannot, and says so.
func (run *running) awaitEnd(ctx context.Context, hangups <-chan os.Signal, terminal bool) (os.Signal, error) {
	for {
		select {
		case err := <-run.failed:
			return nil, err
		case <-ctx.Done():
			i, _ := interruption(ctx)
			return i.signal, nil
		case s := <-hangups:
			if terminal {
				return s, nil
			}
			run.log.Warn("SIGHUP: nothing is read again; to change settings, restart the server")
		}
	}
}

// signalName is a signal as operators write it.
func signalName(s os.Signal) string {
	switch s {
	case os.Interrupt:
		return "SIGINT"
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGHUP:
		return "SIGHUP"
	default:
		return s.String()
	}
}

// drainTime is how long requests in flight have to finish.
const drainTime = 25 * time.Second

// running is a server that listens.
type running struct {
	settings *config.Settings
	log      *slog.Logger

	// listening are those that were opened; http closes those that it serves.
	listening []net.Listener
	http      *http.Server
	service   *issuer.Issuer
	database  *database
	release   func() error // of the data directory's lock, where there is one
	failed    chan error

	// connectionsLost is when the log said last that connections cannot be taken, in Unix nanoseconds.
	connectionsLost atomic.Int64
}

// startServer puts the rooms together: database, secret, service, endpoints,
// listener.
func startServer(ctx context.Context, env *Env, settings *config.Settings) (*running, error) {
	run := &running{settings: settings, log: newLogger(env, settings)}
	if err := run.open(ctx, env); err != nil {
		return nil, errors.Join(err, run.stop(ctx))
	}
	run.failed = make(chan error, len(run.listening))
	for _, l := range run.listening {
		go func() {
			if err := run.http.Serve(watched{l, run}); !errors.Is(err, http.ErrServerClosed) {
				run.failed <- err
			}
		}()
	}
	return run, nil
}

// openData opens the database and reads the secret, each of which may be the
// first time.
func (run *running) openData(ctx context.Context, env *Env) (secret secretHeld, err error) {
	const readingSecret, checkSecret = "reading the server's secret", "Check --secret-file"
	settings := run.settings
	if settings.Database != "" {
		if run.database, err = openDatabase(ctx, settings, run.log); err != nil {
			return secret, err
		}
		secret, err = sharedSecret(ctx, settings, run.database.store, env.Rand)
		if err != nil && !errors.Is(err, authz.ErrOtherSecret) {
			err = fail(secretCode(settings), readingSecret, err, checkSecret)
		}
		return secret, err
	}
	if err := os.MkdirAll(settings.Data, 0o700); err != nil {
		return secret, fail(settingCode(err), "making the data directory", err, "Choose another with --data DIR")
	}
	if run.release, err = sqlite.Lock(settings.Data); err != nil {
		return secret, fail(settingCode(err), "starting on "+settings.Data, err, "Stop the other server, or choose another directory with --data DIR")
	}
	if secret, err = ownSecret(settings, env.Rand); err != nil {
		return secret, fail(secretCode(settings), readingSecret, err, checkSecret)
	}
	run.database, err = openDatabase(ctx, settings, run.log)
	return secret, err
}

// secretCode is the exit code where the secret is none that can be used: it was given, or
// it is the server's own.
func secretCode(s *config.Settings) ExitCode {
	if s.SecretFile != "" {
		return ExitUsage
	}
	return ExitFailed
}

func (run *running) open(ctx context.Context, env *Env) (err error) {
	settings := run.settings
	secret, err := run.openData(ctx, env)
	if err != nil {
		return run.startFailure(err, secret)
	}
	if run.listening, err = listenOn(ctx, &net.ListenConfig{}, settings.Listen, run.log); err != nil {
		return err
	}
	if err := settings.Resolve(run.listening[0].Addr()); err != nil {
		return settingsFailure(err)
	}
	in, err := authzSettings(settings, env.Rand)
	if err != nil {
		return fail(ExitFailed, "starting", err, "")
	}
	run.service, err = issuer.New(ctx, issuer.Options{
		Store: run.database.store, Others: run.database.others, Settings: in, Secret: secret.bytes,
		Clock: env.Now, Rand: env.Rand, Log: run.log,
	})
	if err != nil {
		return run.startFailure(err, secret)
	}
	issuer, err := url.Parse(settings.Issuer)
	if err != nil {
		return settingsFailure(err)
	}
	look, err := brand(settings)
	if err != nil {
		return settingsFailure(err)
	}
	front, err := server.New(server.Options{
		Issuer: run.service, URL: issuer, Version: Version(), Log: run.log, Brand: look, TrustedProxies: settings.TrustedProxies,
	})
	if err != nil {
		return fail(ExitFailed, "starting", err, "")
	}
	run.http = &http.Server{
		Handler:           front.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      authz.MaxWait + 30*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(run.log.Handler(), slog.LevelDebug),
	}
	// Waiting polls must be answered for a shutdown to end.
	run.http.RegisterOnShutdown(run.service.Drain)
	return nil
}

// startFailure says why the server does not start. Only a secret that certainly
// sealed nothing is taken back.
func (run *running) startFailure(err error, secret secretHeld) error {
	var said *Failure
	switch {
	case errors.As(err, &said):
		return err
	case errors.Is(err, authz.ErrOtherSecret) && run.settings.Database != "":
		err = errors.New("this server has not the secret that the database's signing keys were made with")
		return fail(ExitFailed, "starting", errors.Join(err, secret.takeBack()),
			"Give every server the same --secret-file; where one was started without, its secret is the file \"secret\" in its data directory")
	default:
		return fail(ExitFailed, "starting", err, "")
	}
}

// stop takes no new connections, lets requests in flight finish (until ctx ends),
// and closes the database. It stops a server that only half started, too.
func (run *running) stop(ctx context.Context) error {
	var errs []error
	if run.http != nil {
		if err := run.http.Shutdown(ctx); err != nil {
			errs = append(errs, run.http.Close())
		}
	} else {
		errs = append(errs, closeAll(run.listening)...)
	}
	if run.service != nil {
		run.service.Close()
	}
	if run.database != nil {
		errs = append(errs, run.database.close())
	}
	if run.release != nil {
		errs = append(errs, run.release())
	}
	if err := errors.Join(errs...); err != nil {
		return fail(ExitFailed, "stopping", err, "")
	}
	return nil
}

func authzSettings(s *config.Settings, random io.Reader) (authz.Settings, error) {
	out := authz.Settings{
		Issuer: s.Issuer, DeviceCodeLifetime: s.DeviceCodeLifetime, PollInterval: s.DevicePollInterval,
		AccessTokenLifetime: s.AccessTokenLifetime, RefreshIdleLifetime: s.RefreshIdleLifetime,
		RefreshLifetime: s.RefreshTokenLifetime, RefreshGrace: s.RefreshTokenGrace, SessionLifetime: s.SessionLifetime, RotateKeysEvery: s.RotateKeysEvery,
		OpenClients: s.UnregisteredClients == "open", SignatureRequired: s.Approval == authz.ApprovalSigned,
		SignUp: s.SignUp == "open", DPoPNonce: s.DPoPNonce == "required", PendingLimit: s.PendingLimit, DeviceRequestsPerNetwork: s.DeviceRequestsPerNetwork,
		Agents: authz.AgentSettings{
			Clients: authz.AgentClients(s.Agents.Clients), MaxLifetime: s.Agents.MaxLifetime, AccessTokenLifetime: s.Agents.AccessTokenLifetime,
			MaxDepth: s.Agents.MaxDepth, MaxPerOwner: s.Agents.MaxPerOwner, AlwaysAsk: s.Agents.AlwaysAsk, Presence: authz.Presence(s.Agents.Presence),
		},
	}
	if s.Agents.Unattended() {
		out.Agents.Presence = authz.PresenceKey
	}
	for _, c := range s.Clients {
		registered, err := client.Registration(c).Client(random)
		if err != nil {
			return authz.Settings{}, err
		}
		out.Clients = append(out.Clients, registered)
	}
	return out, nil
}
