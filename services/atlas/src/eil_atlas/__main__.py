from eil_atlas.main import main

main()
