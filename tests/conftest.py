"""What many tests share: small studies, an empty home, and where the authors' release is."""
