from eil_diffusion.main import main

main()
