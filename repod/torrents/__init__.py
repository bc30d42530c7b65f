"""Images for BitTorrent clients: what is published, the tracker's and the web seed's shells."""
