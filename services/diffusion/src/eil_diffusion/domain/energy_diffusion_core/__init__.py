"""Forward and reverse diffusion: schedules, the learned denoiser, its training."""
