package cli

import (
	"fmt"
	"os"

	"countersign.dev/internal/config"
	"countersign.dev/internal/server/page/assets"
)

// brand is how the operator wants the pages to look.
func brand(s *config.Settings) (assets.Brand, error) {
	b := assets.Brand{Name: s.Name, Accent: s.Accent}
	if s.Accent != "" {
		if err := assets.CheckAccent(s.Accent); err != nil {
			return b, fmt.Errorf("accent-color %w", err)
		}
	}
	if s.Logo == "" {
		return b, nil
	}
	var err error
	if b.Logo, err = os.ReadFile(s.Logo); err != nil {
		return b, fmt.Errorf("logo: %w", err)
	}
	if b.LogoType, err = assets.LogoType(b.Logo); err != nil {
		return b, fmt.Errorf("logo %w", err)
	}
	return b, nil
}
