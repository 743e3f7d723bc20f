"""The estimator `camera-shake` (ours): estimates kernels of any shape from the image's edges.

First it works on the low-resolution grid, from coarse to fine, and alternates between a latent image whose gradients
are mostly zero (Xu, Zheng and Jia, "Unnatural L0 sparse representation for natural image deblurring", CVPR 2013) and
the kernel that blurs this image into the observed one. Then it refines the kernel on the high-resolution grid, with the
subsampling in the model, by variational Bayes over the gradients (Levin, Weiss, Durand and Freeman, "Efficient marginal
likelihood optimization in blind deconvolution", CVPR 2011, with the prior of Wipf and Zhang, "Revisiting Bayesian blind
deconvolution", JMLR 2014).
"""
