"""Users' documents: uploaded, sealed, cut into passages, found again and cited."""
