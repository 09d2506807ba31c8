package cli

import (
	"log/slog"

	"countersign.dev/internal/config"
	"countersign.dev/internal/server/wire"
)

func newLogger(env *Env, s *config.Settings) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		level = slog.LevelInfo // config has checked it
	}
	options := &slog.HandlerOptions{Level: level}
	var lines slog.Handler = slog.NewJSONHandler(env.Stderr, options)
	if s.LogFormat == "text" || (s.LogFormat == "auto" && env.StderrTerminal) {
		lines = slog.NewTextHandler(env.Stderr, options)
	}
	return slog.New(wire.NewLogHandler(lines))
}
